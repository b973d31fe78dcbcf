//! Makes sure that the folder of the built web page exists: without npm it is empty, and the server answers with the
//! library's own page.

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=tenant_migrations");
    std::fs::create_dir_all("web/dist")
}
