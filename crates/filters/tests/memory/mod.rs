//! Filters that lie in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use filters::{Error, Files, Filter, Kind};

pub(crate) struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect())
    }

    pub(crate) fn load(&self, name: &str) -> Result<Filter, Error> {
        self.load_as(name, Kind::File)
    }

    pub(crate) fn load_as(&self, name: &str, kind: Kind) -> Result<Filter, Error> {
        Filter::load(name, kind, &[Path::new("f"), Path::new("g")], self)
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path, extension: &str) -> Vec<PathBuf> {
        let of_folder = |path: &&PathBuf| {
            path.parent() == Some(folder) && path.extension().is_some_and(|is| is == extension)
        };
        self.0.keys().filter(of_folder).cloned().collect()
    }
}
