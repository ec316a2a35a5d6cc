//! Passwords, and the files that they are in.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use policy::sensor::Secret;

use crate::Error;

/// Bytes of a secret.
const LONGEST: u64 = 256;

/// The secret: of a file, its first line.
///
/// # Errors
/// When the file cannot be read, or there is no secret in it.
pub fn read(secret: &Secret) -> Result<String, Error> {
    let path = match secret {
        Secret::Text(text) => return Ok(text.clone()),
        Secret::File(path) => path,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(LONGEST + 2).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_short = u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST);
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && is_short && !text.contains(char::is_control) => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            let what = format!("it has no secret: one line, of at most {LONGEST} bytes");
            Err(Error::io("use", path)(io::Error::other(what)))
        }
    }
}

/// Whether others than the owner of the file can read it.
pub fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|known| known.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let path = std::env::temp_dir().join(format!("ringfence-secret-{}", std::process::id()));
        let file = Secret::File(path.clone());
        for (content, secret) in [
            (b"s3cret\n".as_slice(), Some("s3cret")),
            (b"two words\r\nmore", Some("two words")),
            (b"no end", Some("no end")),
            (b"\ns3cret", None),
            (b"", None),
            (b"a\x07b", None),
            (b"\xff\xfe", None),
            (&[b'x'; 300], None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&file).ok().as_deref(), secret, "{content:?}");
        }
        for (mode, is) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_exposed(&path), is);
        }
        std::fs::remove_file(&path).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.starts_with("cannot open ") && error.contains(&path.display().to_string()), "{error}");
        assert_eq!(read(&Secret::Text("here".to_owned())).unwrap(), "here");
    }
}
