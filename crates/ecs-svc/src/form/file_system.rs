//! An EFS file system that a task definition has as a volume.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{
    EfsAuthorizationConfig, EfsAuthorizationConfigIam, EfsTransitEncryption, EfsVolumeConfiguration, MountPoint, Volume,
};
use ecs_core::Result;

use super::text;
use crate::ecs;

/// An EFS file system as a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSystem {
    /// Its id
    pub id: String,
    /// Id of the access point; empty for none
    pub access_point: String,
    /// Directory of the file system
    pub root_directory: String,
    /// Whether it is encrypted on its way, and whether IAM decides who may use it
    pub guarded: (bool, bool),
    /// Where it is in the container that serves, and whether that may only read; none for nowhere
    pub mount: Option<(String, bool)>,
}

impl FileSystem {
    /// Returns it as a volume of that name.
    ///
    /// # Errors
    /// Never: all that is required is set.
    pub fn build(&self, name: &str) -> Result<Volume> {
        let authorization = EfsAuthorizationConfig::builder()
            .set_access_point_id((!self.access_point.is_empty()).then(|| self.access_point.clone()))
            .iam(EfsAuthorizationConfigIam::Enabled);
        let efs = EfsVolumeConfiguration::builder().file_system_id(&self.id).root_directory(&self.root_directory);
        let efs = efs.transit_encryption(EfsTransitEncryption::Enabled).authorization_config(authorization.build());
        Ok(Volume::builder().name(name).efs_volume_configuration(ecs::built(efs.build())?).build())
    }
}

impl std::fmt::Display for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, access_point, root_directory, guarded, mount } = self;
        write!(f, "{id}{root_directory}")?;
        if !access_point.is_empty() {
            write!(f, " through {access_point}")?;
        }
        match mount {
            Some((path, true)) => write!(f, " at {path}, read only")?,
            Some((path, false)) => write!(f, " at {path}")?,
            None => f.write_str(" nowhere")?,
        }
        if *guarded == (true, true) { Ok(()) } else { f.write_str(", not encrypted on its way or open to all") }
    }
}

/// Reads the EFS file systems among the volumes, with where the container has them.
pub fn volumes(volumes: &[Volume], points: &[MountPoint]) -> BTreeMap<String, FileSystem> {
    let read = |volume: &Volume| {
        let efs = volume.efs_volume_configuration()?;
        let authorization = efs.authorization_config();
        let point = points.iter().find(|point| point.source_volume() == volume.name());
        let found = FileSystem {
            id: efs.file_system_id().to_owned(),
            access_point: text(authorization.and_then(EfsAuthorizationConfig::access_point_id)),
            root_directory: efs.root_directory().filter(|root| !root.is_empty()).unwrap_or("/").to_owned(),
            guarded: (
                efs.transit_encryption() == Some(&EfsTransitEncryption::Enabled),
                authorization.and_then(EfsAuthorizationConfig::iam) == Some(&EfsAuthorizationConfigIam::Enabled),
            ),
            mount: point.map(|point| (text(point.container_path()), point.read_only().unwrap_or_default())),
        };
        Some((text(volume.name()), found))
    };
    volumes.iter().filter_map(read).collect()
}
