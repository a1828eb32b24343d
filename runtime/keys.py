"""The key that a process signs decisions and registry entries with: an Ed25519 key in a file or a secret of the
environment.

It is never in the database and never in a log. Whoever keeps it in a key management service implements
`domain.dsse.Signer` instead.
"""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from domain.dsse import Ed25519Signer
from runtime.private_files import UnusableKeyError, read_or_make, read_private, write_private
from runtime.settings import Settings, SettingsError

KEY_FILE = "signing-key.pem"
"""What the key is called in an embedded system's data folder."""


def signer_of(settings: Settings) -> Ed25519Signer:
    """Whoever signs for this process.

    Raises:
        SettingsError: no key is named, or two are, or it can't be used; the message names the variable.
    """
    if (settings.signing_key is None) == (settings.signing_key_file is None):
        given = "Neither" if settings.signing_key is None else "Both"
        verb = "is set; `ringi keys new FILE` makes a key" if settings.signing_key is None else "are set; name one"
        raise SettingsError(f"{given} of RINGI_SIGNING_KEY_FILE and RINGI_SIGNING_KEY {verb}.")
    try:
        if settings.signing_key_file is not None:
            return read_key(settings.signing_key_file)
        assert settings.signing_key is not None
        return _parsed(settings.signing_key.get_secret_value().encode(), "RINGI_SIGNING_KEY")
    except OSError as error:
        raise SettingsError(f"RINGI_SIGNING_KEY_FILE: {error.filename}: {error.strerror}.") from None
    except UnusableKeyError as error:
        raise SettingsError(f"{error}.") from None


def key_in(folder: Path) -> Ed25519Signer:
    """The key kept in `folder`, made on first use.

    Raises:
        UnusableKeyError: the file is damaged, not a plain file, or readable for others.
        OSError: the folder can't be written, or the file not be read.
    """
    path = folder / KEY_FILE
    return _parsed(read_or_make(path, lambda: pem(Ed25519PrivateKey.generate()), follow=True), str(path))


def read_key(path: Path) -> Ed25519Signer:
    """The key in a file that only its owner can read.

    Raises:
        UnusableKeyError: the file holds no such key, is not a plain file, or is readable for others.
        OSError: it can't be read.
    """
    return _parsed(read_private(path, follow=True), str(path))


def make_key(path: Path) -> Ed25519Signer:
    """Make a new key, in a new file that only its owner can read.

    Raises:
        FileExistsError: there is such a file; it is not touched.
        OSError: it can't be written.
    """
    key = Ed25519PrivateKey.generate()
    write_private(path, pem(key))
    return Ed25519Signer(key)


def pem(key: Ed25519PrivateKey) -> bytes:
    """The key in PKCS#8, as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parsed(data: bytes, where: str) -> Ed25519Signer:
    try:
        key = load_pem_private_key(data, None) if b"-----BEGIN" in data else load_der_private_key(b64decode(data), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKeyError(f"{where} holds no Ed25519 private key in PKCS#8")
    return Ed25519Signer(key)
