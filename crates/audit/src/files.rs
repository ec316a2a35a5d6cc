//! Where configuration comes from.

use std::io;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes. FreePBX's dialplan for a thousand extensions has three million.
pub const MAX_FILE: usize = 16 << 20;

/// A disk, or what stands for one in tests.
pub trait Files {
    /// What the file holds, or [`MAX_FILE`] bytes of it and one more.
    ///
    /// # Errors
    /// As the disk has it.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths of all that is in a folder, in order.
    ///
    /// # Errors
    /// As the disk has it.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
}
