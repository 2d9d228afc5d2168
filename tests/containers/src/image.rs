//! The image, made of the Dockerfile that is there and the binaries that the tests have.

use std::path::Path;

use carrick_tests::{carrickd, skip};
use futures::StreamExt as _;
use testcontainers::bollard::Docker;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::models::{ContainerCreateBody, HostConfig, ImageConfig};
use testcontainers::bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use testcontainers::core::BuildImageOptions;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncBuilder as _;
use testcontainers::{ContainerRequest, GenericBuildableImage, GenericImage, ImageExt as _};

/// Of this machine: no engine looks for it elsewhere.
const NAME: &str = "localhost/carrick-test";

pub struct Image {
    pub(crate) docker: Docker,
    tag: String,
}

/// How a program of the image ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i64,
    pub stdout: String,
    pub stderr: String,
}

impl Image {
    /// None says that the test is skipped.
    pub async fn build() -> Option<Self> {
        let docker = match reach().await {
            Ok(docker) => docker,
            Err(why) => {
                skip(&format!("no container engine: {why}"));
                return None;
            }
        };
        let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/container/Dockerfile");
        let tag = std::process::id().to_string();
        let built = GenericBuildableImage::new(NAME, &tag)
            .with_dockerfile(dockerfile)
            .with_file(carrickd(), "carrickd")
            .with_file(carrickd().with_file_name("carrick"), "carrick")
            .build_image_with(BuildImageOptions::new().with_build_arg("BINARIES", "prebuilt"))
            .await;
        if let Err(e) = built {
            panic!("the image could not be built; has the engine debian:bookworm-slim? {e:?}");
        }
        Some(Self { docker, tag })
    }

    /// Frees the disk of it.
    pub async fn remove(self) {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        self.docker.remove_image(&format!("{NAME}:{}", self.tag), Some(options), None).await.unwrap();
    }

    /// What the Dockerfile says of how it is run.
    pub async fn config(&self) -> ImageConfig {
        let seen = self.docker.inspect_image(&format!("{NAME}:{}", self.tag)).await.unwrap();
        seen.config.expect("an image has a configuration")
    }

    /// Its own program, as careful operators run it.
    pub(crate) fn daemon(&self) -> ContainerRequest<GenericImage> {
        let image = GenericImage::new(NAME, &self.tag);
        image.with_readonly_rootfs(true).with_cap_drop("ALL").with_security_opt("no-new-privileges")
    }

    /// Runs one of its programs to its end, beside what `host` says.
    pub async fn run(&self, entrypoint: &str, arguments: &[&str], host: HostConfig) -> Ran {
        let body = ContainerCreateBody {
            image: Some(format!("{NAME}:{}", self.tag)),
            entrypoint: Some(vec![entrypoint.into()]),
            cmd: Some(arguments.iter().map(ToString::to_string).collect()),
            host_config: Some(HostConfig {
                readonly_rootfs: Some(true),
                cap_drop: Some(vec!["ALL".into()]),
                security_opt: Some(vec!["no-new-privileges".into()]),
                network_mode: Some("none".into()),
                ..host
            }),
            ..Default::default()
        };
        let made = self.docker.create_container(None::<CreateContainerOptions>, body).await.unwrap();
        self.docker.start_container(&made.id, None::<StartContainerOptions>).await.unwrap();
        let code = self.exit_code(&made.id).await;
        let (stdout, stderr) = self.said(&made.id).await;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.docker.remove_container(&made.id, Some(options)).await.unwrap();
        Ran { code, stdout, stderr }
    }

    async fn said(&self, container: &str) -> (String, String) {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut logs = self.docker.logs(container, Some(options));
        let (mut stdout, mut stderr) = (String::new(), String::new());
        while let Some(part) = logs.next().await {
            match part.unwrap() {
                LogOutput::StdErr { message } => stderr.push_str(&String::from_utf8_lossy(&message)),
                other => stdout.push_str(&other.to_string()),
            }
        }
        (stdout, stderr)
    }

    /// Of a container, once it has ended. Asked by waiting: states on the way there are not the same for every engine.
    pub(crate) async fn exit_code(&self, container: &str) -> i64 {
        match self.docker.wait_container(container, None::<WaitContainerOptions>).next().await {
            Some(Ok(ended)) => ended.status_code,
            Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
            other => panic!("{container}: {other:?}"),
        }
    }
}

async fn reach() -> Result<Docker, String> {
    let docker = docker_client_instance().await.map_err(|e| e.to_string())?;
    docker.ping().await.map_err(|e| e.to_string())?;
    Ok(docker)
}
