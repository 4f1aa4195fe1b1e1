//! Access logs: targets and formats.

pub mod ears;
pub mod format;
pub mod forward;
pub mod ring;
pub mod send;
pub mod tag;

#[cfg(test)]
mod tests;

pub use format::Format;
pub use ring::Ring;
pub use send::{Outlets, emit, line, notices, on_stderr, session_error};

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
    pub sample: Option<Sample>,
    /// `facility`.
    pub facility: u8,
    /// `level`.
    pub level: u8,
    /// `minlevel`.
    pub minlevel: u8,
}

/// Which of `size` lines in a row a target takes: places from 1, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// First and last place of each range.
    pub ranges: Vec<(u32, u32)>,
    /// Lines in a row.
    pub size: u32,
}

impl Sample {
    /// Parses `2-3,8-11:11`; the error is haproxy's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (list, size_text) = text.rsplit_once(':').ok_or("log : Missing sample size")?;
        let mut ranges = Vec::new();
        for range in list.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let pair = low.parse::<u32>().ok().zip(high.parse::<u32>().ok());
            let pair = pair.filter(|(low, high)| *low > 0 && low <= high);
            ranges.push(pair.ok_or_else(|| format!("log : wrong sample range '{range}'"))?);
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|w| w[0].1 >= w[1].0) {
            return Err("log : ranges are overlapping".into());
        }
        let size = size_text
            .parse::<u32>()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("log : wrong sample size '{size_text}' for sample range '{list}'"))?;
        match ranges.last() {
            Some((_, last)) if *last > size => Err(format!(
                "log : sample size {size} should be greater or equal to {last} the maximum of the high ranges limits"
            )),
            _ => Ok(Self { ranges, size }),
        }
    }

    /// Whether the line with this number, from 0, is taken.
    pub fn takes(&self, number: u32) -> bool {
        let place = number % self.size.max(1) + 1;
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&place))
    }
}

/// The bytes of a format for a view.
pub fn render(format: &Format, view: &crate::stream::view::View<'_>) -> Vec<u8> {
    format.to_bytes(view)
}

/// The host's name, for heads that carry one.
pub fn host_name() -> Vec<u8> {
    nix::unistd::gethostname().map(std::ffi::OsString::into_encoded_bytes).unwrap_or_default()
}
