//! Whole stories: phones, offices, carriers and attackers before a PBX, and what becomes of them.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails loudly")]

mod scenes {
    mod attacks;
    mod benign;
    mod carriers;
    mod evasions;
    mod exchange;
    mod forged;
    mod offices;
    mod privacy;
    mod shelters;
    mod testimony;
    mod traps;
    mod wire;
}
