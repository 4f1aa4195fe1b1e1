//! Reads files, directories and includes.
