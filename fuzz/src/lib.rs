//! What the fuzz targets check. Each target is a function from bytes to nothing that panics when something is wrong, so the
//! same checks run under libFuzzer (`cargo xtask fuzz`) and over the committed seeds (`cargo test`, any toolchain).

pub mod bridge_frames;
pub mod client;
pub mod decode;
pub mod seeds;

/// A target, as the replay of the seeds calls it.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in `seeds/`.
pub const TARGETS: [(&str, Target); 3] =
    [("bridge_frames", bridge_frames::run), ("client", client::run), ("decode", decode::run)];

/// The largest integer on the wire (GEN-5).
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;
