//! Contract, access and trace channels.
