//! Convention and tools for cores without I/O.
