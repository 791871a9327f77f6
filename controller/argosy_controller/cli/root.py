"""`controller root`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from argosy.errors import NotFound
from argosy_controller.cli.shell import Session, controller_options


@click.group()
def root() -> None:
    """Change the keys that everything hangs on.

    \b
    Example:
      controller root rotate --data ./fleet --online-keys
    """


@root.command(
    epilog="\b\nExamples:\n  controller root rotate --data ./fleet\n  controller root rotate --data ./fleet --new-publisher-key publisher.pem"
)
@click.option("--root-keys", is_flag=True, help="Make three new root keys, in place of the present ones.")
@click.option("--online-keys", is_flag=True, help="Make new keys for snapshot, timestamp and director: after the controller was stolen.")
@click.option("--new-publisher-key", metavar="FILE|URI", help="Hand publishing over to this key; the way out of lab mode.")
@click.option("--publisher-key", metavar="FILE|URI", help="The present publisher's key, where the controller does not hold it.")
@controller_options
def rotate(session: Session, root_keys: bool, online_keys: bool, new_publisher_key: str | None, publisher_key: str | None) -> None:
    """Sign the next version of the root; the controller must be stopped, and two of three keys lie in DATA/offline-keys.

    No device is cut off: what old and new root both name is signed with old and new keys first.
    """
    from argosy_controller.folder import lock, prepare
    from argosy_controller.signing.keys import load_signer
    from argosy_controller.signing.rotation import rotate_root

    data = session.data or Path(os.environ.get("ARGOSY_DATA") or "fleet")
    if not (data / "tuf").is_dir():
        raise NotFound(f"folder {data} holds no signed repository: name the controller's data folder with --data")
    folder = prepare(data)
    handle = lock(folder)
    try:
        version = rotate_root(
            folder.tuf,
            folder.keys,
            folder.offline_keys,
            time.time(),
            root_keys=root_keys,
            online_keys=online_keys,
            new_publisher=load_signer(new_publisher_key) if new_publisher_key else None,
            publisher=load_signer(publisher_key) if publisher_key else None,
        )
    finally:
        os.close(handle)
    document = {"root": version, "offline_keys": str(folder.offline_keys)}
    session.show(document, lambda console: console.print(f"Root version {version} is signed. Take {folder.offline_keys} away again."))
