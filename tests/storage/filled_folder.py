from nmt.storage.files import write_bytes, write_text
from nmt.storage.folders import make_folder
from nmt.storage.manifest import write_manifest


def filled(folder):
    make_folder(folder)
    write_bytes(folder / "weights", bytes(range(256)) * 64)
    write_text(folder / "state.json", "{}\n")
    write_manifest(folder)
    return folder
