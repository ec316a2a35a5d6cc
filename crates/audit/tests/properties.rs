//! Whatever files hold, an audit ends, and without panic.

use std::path::Path;

use proptest::prelude::*;

/// Pieces of which configuration is made, so that chance meets what matters.
const PIECES: &[&str] = &[
    "[",
    "]",
    "(",
    ")",
    "(!)",
    "(+)",
    "(t,u)",
    "\n",
    "\n[t](!)\n",
    "\n[general]\n",
    "=",
    "=>",
    " += ",
    ";--",
    "--;",
    ";",
    "\\;",
    "#include ",
    "#tryinclude ",
    "#exec ",
    "*.conf",
    "{a,b}",
    "pjsip.conf",
    "\n%% pjsip.conf\n",
    "\n%% extensions.conf\n",
    "\n%% sip.conf\n",
    "\n%% http.conf\n",
    "type=endpoint\n",
    "type=auth\n",
    "password=1\n",
    "exten => _X.,1,Dial(",
    "same => n,",
    "${EXTEN:1}",
    "@a",
    "/",
    "Goto(",
    "include => ",
    "permit=0.0.0.0/",
    "deny=::/129\n",
    "bindaddr=[::",
    "\u{feff}",
    "é",
    "\0",
];

proptest! {
    #[test]
    fn any_pieces_are_read(indexes in prop::collection::vec(0..PIECES.len(), 0..200)) {
        let text: String = indexes.iter().map(|index| PIECES[*index]).collect();
        audit::fuzzing::tree(format!("%% pjsip.conf\n{text}").as_bytes());
    }

    #[test]
    fn any_damage_is_read(file in 0..8_usize, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..40), cut in any::<usize>()) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/asterisk_conf");
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut bytes = std::fs::read(&paths[file % paths.len()]).unwrap();
        for (place, byte) in changes {
            let length = bytes.len();
            bytes[place % length] = byte;
        }
        bytes.truncate(bytes.len() - (cut % bytes.len()) / 4);
        audit::fuzzing::tree(&bytes);
    }
}
