//! Access logs: targets and formats.

pub mod format;
pub mod send;
pub mod tag;

#[cfg(test)]
mod tests;

pub use format::Format;
pub use send::{Outlets, emit, line, notices, on_stderr};

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

/// The bytes of a format for a view.
pub fn render(format: &Format, view: &crate::stream::view::View<'_>) -> Vec<u8> {
    format.to_bytes(view)
}

/// The host's name, for heads that carry one.
pub fn host_name() -> Vec<u8> {
    nix::unistd::gethostname().map(std::ffi::OsString::into_encoded_bytes).unwrap_or_default()
}
