//! What fuzzers call.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Files;

/// What begins a file in the input.
const MARK: &str = "%%";

/// Several files in one text: `%% name` begins each. Whatever they hold, an audit ends without panic, and in time.
pub fn tree(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut files = BTreeMap::new();
    for part in text.split(MARK) {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        files.insert(Path::new("/etc/asterisk").join(name.trim()), text.as_bytes().to_vec());
    }
    if let Ok(report) = crate::audit(
        &Memory(files.clone()),
        Path::new("/etc/asterisk"),
        Duration::from_secs(1_800_000_000),
        None,
    ) {
        let _ = (report.json(), report.text(crate::Style::Plain));
    }
    drop(crate::profile(&Memory(files), Path::new("/etc/asterisk")));
}

/// Files that are in memory.
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }
}
