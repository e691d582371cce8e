//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable, wanted| std::env::var(variable).is_ok_and(|value| value == wanted);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // The loader reads the whole table of relocations, so all of it is in memory; packed (DT_RELR, glibc
        // 2.36) it is a fiftieth of its size.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // What the compiler calls unlikely stays apart from what is used, instead of between it.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
    }
}
