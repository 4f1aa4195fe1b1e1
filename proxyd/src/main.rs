//! Entry of proxyd: see [`proxyd::process`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    logging::trace();
    #[expect(clippy::exit, reason = "the one place where the exit code leaves the program")]
    std::process::exit(proxyd::process::run(std::env::args_os()));
}
