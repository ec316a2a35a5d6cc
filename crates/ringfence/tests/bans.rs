//! Bans, from the command line to the packet and back: they hold, they end, they outlive what may happen to the daemon, and
//! they never hit whom they must not. Root only.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

#[path = "bans/commands.rs"]
mod commands;
#[path = "bans/drift.rs"]
mod drift;
#[path = "bans/durability.rs"]
mod durability;
#[path = "bans/lockout.rs"]
mod lockout;
#[path = "bans/prometheus.rs"]
mod prometheus;
#[path = "bans/scene.rs"]
mod scene;
#[path = "bans/screen.rs"]
mod screen;
#[path = "bans/socket.rs"]
mod socket;
#[path = "bans/trouble.rs"]
mod trouble;
