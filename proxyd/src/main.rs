//! Entry of proxyd: see [`proxyd::process`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    logging::trace();
    std::process::exit(proxyd::process::run(std::env::args_os()));
}
