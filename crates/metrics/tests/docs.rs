//! `docs/metrics.md` says what the registry says. `UPDATE_GOLDEN=1` writes it anew.

use std::path::Path;

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let fresh = metrics::markdown();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == fresh, "docs/metrics.md is old; UPDATE_GOLDEN=1 cargo test -p metrics --test docs");
}
