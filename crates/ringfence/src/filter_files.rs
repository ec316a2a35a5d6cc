//! Where fail2ban's filters are on this machine.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Folders with filters; the first that has one of a name decides.
pub(crate) const FOLDERS: [&str; 2] = ["/etc/ringfence/filter.d", "/etc/fail2ban/filter.d"];

/// The file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnDisk;

impl filters::Files for OnDisk {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let most = u64::try_from(filters::MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
        File::open(path)?.take(most).read_to_string(&mut text)?;
        Ok(text)
    }

    fn list(&self, folder: &Path, extension: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|found| found == extension));
        paths.sort();
        paths
    }
}
