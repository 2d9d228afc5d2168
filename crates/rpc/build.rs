//! Generates the admin service, without protoc. Its messages are `carrick-proto`'s, and the link needs no generated code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = protox::compile(["carrick/v1/admin.proto"], [root])?;
    tonic_prost_build::configure()
        .extern_path(".carrick.v1", "::carrick_proto::v1")
        .build_transport(false)
        .compile_fds(files)?;
    Ok(())
}
