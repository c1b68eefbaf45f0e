"""A real `mlflow server` that wants a password, behind a certificate that no machine knows."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.mlflow_server import MlflowServer

ADMIN, READER, STRANGER = (
    {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": f"password of {name}"}
    for name in ("admin", "reader", "stranger")
)


class ProtectedServer(MlflowServer):
    """Use it in a ``with`` block. `ADMIN` may do anything, `READER` may read, it knows no `STRANGER`."""

    scheme = "https"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.certificate, self._key = folder / "certificate.pem", folder / "key.pem"
        self._settings = folder / "auth.ini"
        self._settings.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = sqlite:///{folder / 'auth.db'}\n"
            f"admin_username = admin\nadmin_password = {ADMIN['MLFLOW_TRACKING_PASSWORD']}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        sign(self.certificate, self._key)

    @property
    def trusted(self) -> dict[str, str]:
        """What makes a client trust it."""
        return {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.certificate)}

    def flags(self) -> list[str]:
        tls = f"--ssl-keyfile {self._key} --ssl-certfile {self.certificate}"
        return ["--app-name", "basic-auth", "--uvicorn-opts", tls]

    def environment(self) -> dict[str, str]:
        own = {"MLFLOW_AUTH_CONFIG_PATH": str(self._settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of tests"}
        return {**super().environment(), **own}

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    def admit_reader(self) -> None:
        """Make the user who may read."""
        answer = requests.post(
            f"{self.uri}/api/2.0/mlflow/users/create",
            json={"username": "reader", "password": READER["MLFLOW_TRACKING_PASSWORD"]},
            auth=(ADMIN["MLFLOW_TRACKING_USERNAME"], ADMIN["MLFLOW_TRACKING_PASSWORD"]),
            verify=str(self.certificate),
            timeout=30,
        )
        answer.raise_for_status()


def sign(certificate: Path, key: Path) -> None:
    """Make a certificate of this machine that it signs itself."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key.write_bytes(secret.private_bytes(*plain))
