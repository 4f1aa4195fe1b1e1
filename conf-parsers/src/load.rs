//! Reads configuration files and directories into a source map.
//!
//! Invariant: what can't be read is a diagnostic in haproxy's words, and the other files are still read.

use diag::{Diagnostic, FileId, Report, Severity, SourceMap};
use std::fs;
use std::path::Path;

/// Largest file that is read; a configuration of a million lines has a tenth of it.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Reads each path; a directory stands for its `*.cfg` files in byte order, hidden ones left out.
pub fn haproxy(paths: &[String], sources: &mut SourceMap, report: &mut Report) -> Vec<FileId> {
    let mut files = Vec::new();
    for path in paths {
        for name in expand(path, report) {
            match read(Path::new(&name)) {
                Ok(text) => files.push(sources.add(name, text)),
                Err(e) => refuse(report, format!("Could not open configuration file {name} : {e}")),
            }
        }
    }
    files
}

fn expand(path: &str, report: &mut Report) -> Vec<String> {
    let cannot =
        |e: &std::io::Error| format!("Cannot open configuration file/directory {path} : {}", reason(e));
    match fs::metadata(path) {
        Err(e) => {
            refuse(report, cannot(&e));
            Vec::new()
        }
        Ok(meta) if !meta.is_dir() => vec![path.to_owned()],
        Ok(_) => match fs::read_dir(path) {
            Err(e) => {
                refuse(report, cannot(&e));
                Vec::new()
            }
            Ok(entries) => {
                let mut names: Vec<String> = entries
                    .flatten()
                    .filter(|e| e.path().is_file())
                    .filter_map(|e| e.file_name().into_string().ok())
                    .filter(|n| !n.starts_with('.') && n.len() > 4 && n.as_bytes().ends_with(b".cfg"))
                    .collect();
                names.sort();
                names.into_iter().map(|n| format!("{}/{n}", path.trim_end_matches('/'))).collect()
            }
        },
    }
}

fn refuse(report: &mut Report, text: String) {
    report.push(Diagnostic::global(Severity::Fatal, text));
}

/// The error as C's `strerror` says it: without Rust's `(os error N)`.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|e| reason(&e))?.len();
    if size > FILE_BYTES_MAX {
        return Err("File too large".into());
    }
    fs::read(path).map_err(|e| reason(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_cfg_files_in_order() {
        let dir = tempfile::tempdir().expect("directory");
        for name in ["b.cfg", "a.cfg", ".h.cfg", "z.txt"] {
            fs::write(dir.path().join(name), name).expect("file");
        }
        let (mut sources, mut report) = (SourceMap::new(), Report::new());
        let path = dir.path().to_str().expect("utf-8").to_owned();
        let files = haproxy(std::slice::from_ref(&path), &mut sources, &mut report);
        let names: Vec<_> = files.iter().map(|f| sources.file(*f).name.clone()).collect();
        assert_eq!(names, [format!("{path}/a.cfg"), format!("{path}/b.cfg")]);
        assert!(report.is_empty());
    }

    #[test]
    fn a_missing_file_is_haproxys_alert() {
        let (mut sources, mut report) = (SourceMap::new(), Report::new());
        assert!(haproxy(&["/nonexistent/x.cfg".into()], &mut sources, &mut report).is_empty());
        assert_eq!(
            report.items[0].text,
            "Cannot open configuration file/directory /nonexistent/x.cfg : No such file or directory"
        );
    }
}
