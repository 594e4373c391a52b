"""Places that a run names: a model's folder or hub id, a judge's address, a study's database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from saber.keys import nearest
from saber.redaction import public
from saber.types import UserError


def check_model_path(path: str, key: str) -> None:
    """Pass where a path exists, or can be a hub id and is no misspelt neighbour of what is there.

    Raises:
        UserError: it can only be a folder and there is none, or one with nearly its name stands where it would be.
    """
    try:
        folder = Path(path).expanduser()
        if folder.exists():
            return
        siblings = [place.name for place in folder.parent.iterdir()] if folder.parent.is_dir() else []
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{key}: expected a folder or a hub id, found {path} ({error})") from error
    is_path = path.startswith(("/", "~", ".", "\\")) or path.count("/") > 1 or "\\" in path
    close = nearest(folder.name, siblings)
    if is_path or (close and "/" in path):
        raise UserError(f"{key}: expected a folder, found none at {path}{close}")


def check_web_address(url: str) -> None:
    """Pass where a judge can be asked at an address.

    Raises:
        UserError: it is none of the web.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # half an IPv6 address
        scheme = ""
    if scheme not in ("http", "https"):
        raise UserError(f"expected judge.url to be http://..., found {url or 'none'}")


def check_database(url: str, key: str) -> None:
    """Pass where a database can be opened by its URL, as far as that is known without asking it.

    Raises:
        UserError: it is no URL of a database, its driver is not installed, or its file has no folder.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UserError(
            f"{key}: expected the URL of a database, such as sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME,"
            f" found {public(url)}"
        ) from error
    except ImportError as error:
        raise UserError(
            f"{key}: expected the driver of {public(url)}, found none; pip install -e '.[postgres]' for PostgreSQL"
        ) from error
    folder = Path(parsed.database or "").absolute().parent
    if parsed.get_backend_name() == "sqlite" and not folder.is_dir():
        raise UserError(f"{key}: expected a folder for the file of {public(url)}, found none at {folder}: make it")
