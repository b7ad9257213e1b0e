#!/usr/bin/env python3
"""Pushes an image to ECR without Docker: a configuration, and a manifest that names it; there are no other layers.

    push.py REPOSITORY TAG [--arch amd64|arm64|multi]

Prints the digest that the tag then stands for: the manifest's, or with `multi` that of an index over one image for each
architecture. The same repository, tag and architecture give the same digest, and pushing it again changes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

import boto3

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
ARCHITECTURES = ("amd64", "arm64")

ecr = boto3.client("ecr")


def digest(content: bytes) -> str:
    """Returns the digest of a blob."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def upload(repository: str, content: bytes) -> str:
    """Uploads a blob, unless it is there; returns its digest."""
    name = digest(content)
    found = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[name])["layers"]
    if any(layer["layerAvailability"] == "AVAILABLE" for layer in found):
        return name
    started = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository,
        uploadId=started,
        partFirstByte=0,
        partLastByte=len(content) - 1,
        layerPartBlob=content,
    )
    ecr.complete_layer_upload(repositoryName=repository, uploadId=started, layerDigests=[name])
    return name


def put(repository: str, document: dict[str, Any], tag: str | None) -> dict[str, Any]:
    """Puts a manifest, with a tag or without; returns what an index says of it."""
    manifest = json.dumps(document)
    request = {
        "repositoryName": repository,
        "imageManifest": manifest,
        "imageManifestMediaType": document["mediaType"],
    }
    try:
        ecr.put_image(**request, **({"imageTag": tag} if tag else {}))
    except ecr.exceptions.ImageAlreadyExistsException:
        pass
    return {"mediaType": document["mediaType"], "digest": digest(manifest.encode()), "size": len(manifest)}


def push(repository: str, tag: str, architecture: str, *, tagged: bool = True) -> dict[str, Any]:
    """Pushes an image for one architecture."""
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": {"org.opencontainers.image.version": tag}},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
    ).encode()
    descriptor = {"mediaType": CONFIG, "digest": upload(repository, config), "size": len(config)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []}
    return put(repository, document, tag if tagged else None)


def push_index(repository: str, tag: str) -> dict[str, Any]:
    """Pushes an image for each architecture, and an index over them."""
    manifests = [
        push(repository, tag, one, tagged=False) | {"platform": {"architecture": one, "os": "linux"}}
        for one in ARCHITECTURES
    ]
    return put(repository, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, tag)


def main() -> None:
    """Pushes what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("repository", help="name of the repository, which must be there")
    parser.add_argument("tag")
    parser.add_argument("--arch", choices=(*ARCHITECTURES, "multi"), default="amd64")
    options = parser.parse_args()
    if options.arch == "multi":
        print(push_index(options.repository, options.tag)["digest"])
    else:
        print(push(options.repository, options.tag, options.arch)["digest"])


if __name__ == "__main__":
    main()
