//! Access logs: targets and formats.

pub mod format;
pub mod tag;

pub use format::Format;

/// A `log` line.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The address as written; `global` was replaced by the global targets.
    pub address: String,
    /// `len`, bytes.
    pub len: usize,
    /// `format`.
    pub format: String,
    /// `sample RANGES:SIZE`.
    pub sample: Option<String>,
    /// `facility`.
    pub facility: u8,
    /// `level`.
    pub level: u8,
    /// `minlevel`.
    pub minlevel: u8,
}
