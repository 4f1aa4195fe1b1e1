//! The JSON schema of `show info json` and `show stat json` (`show schema json`), as programs check it.

/// The schema.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_json() {
        let schema: serde_json::Value = serde_json::from_str(super::SCHEMA).unwrap();
        assert_eq!(schema["oneOf"].as_array().map(Vec::len), Some(3));
    }
}
