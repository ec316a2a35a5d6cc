//! `docs/audit.md` says what the registry says. `UPDATE_GOLDEN=1` writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/audit.md");
    let fresh = audit::docs::markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == fresh, "docs/audit.md is old; UPDATE_GOLDEN=1 cargo test -p audit --test docs");
}
