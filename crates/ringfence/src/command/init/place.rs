//! Puts the policy in its place: whole or not at all, and never over somebody's own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::exit::Exit;

/// The policy that the package brings: nobody's work is lost with it.
const SHIPPED: &[u8] = include_bytes!("../../../../../packaging/policy.toml");
/// Everybody on this host may read it, as the one of the package: there is no secret in it.
const MODE: u32 = 0o644;

/// Says no where something is that should stay.
pub(super) fn may_be_written(path: &Path, force: bool) -> Result<(), Exit> {
    if force || is_free(path)? {
        return Ok(());
    }
    Err(taken(path))
}

/// Writes it beside its place, then moves it there.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<(), Exit> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or_else(|| Exit::No(format!("{} is no file", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Exit::io("create", folder))?;
    let new = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let done = fill(&new, &path, text).and_then(|()| move_to(&new, &path, force));
    if done.is_err() {
        drop(fs::remove_file(&new));
    }
    done?;
    // The name is on the disk, too.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Exit::io("write", folder))
}

fn fill(new: &PathBuf, path: &Path, text: &str) -> Result<(), Exit> {
    let mode = fs::metadata(path).map_or(MODE, |known| known.permissions().mode() & 0o777);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(new)
        .map_err(Exit::io("create", new))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(Exit::io("create", new))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Exit::io("write", new))
}

fn move_to(new: &Path, path: &Path, force: bool) -> Result<(), Exit> {
    let moved = if force || is_shipped(path).unwrap_or(false) {
        fs::rename(new, path)
    } else {
        // Somebody may have put one there meanwhile.
        renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE).map_err(io::Error::from).or_else(|error| {
            // Not every file system can; all refuse a second name for what has it already.
            if error.kind() != io::ErrorKind::InvalidInput {
                return Err(error);
            }
            fs::hard_link(new, path).and_then(|()| fs::remove_file(new))
        })
    };
    moved.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => taken(path),
        false => Exit::io("write", path)(error),
    })
}

fn is_free(path: &Path) -> Result<bool, Exit> {
    match is_shipped(path) {
        Ok(is_shipped) => Ok(is_shipped),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fs::symlink_metadata(path).is_err()),
        Err(error) => Err(Exit::io("read", path)(error)),
    }
}

/// Whether it is the package's, unchanged.
fn is_shipped(path: &Path) -> io::Result<bool> {
    let is_as_long = fs::metadata(path)?.len() == SHIPPED.len() as u64;
    Ok(is_as_long && fs::read(path)? == SHIPPED)
}

fn taken(path: &Path) -> Exit {
    Exit::No(format!(
        "{path} is there already, and it is not the one that the package brought; nothing was written\n\
         help: `--dry-run` shows the new one, `--output FILE` writes it elsewhere, `--force` replaces this one",
        path = path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nobodys_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/policy.toml");
        may_be_written(&path, false).unwrap();
        write(&path, "one", false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(may_be_written(&path, false), Err(Exit::No(_))));
        assert!(matches!(write(&path, "two", false), Err(Exit::No(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, "two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "as it was");
        fs::write(&path, SHIPPED).unwrap();
        may_be_written(&path, false).unwrap();
        write(&path, "three", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, SHIPPED).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "one", false).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "one");
    }
}
