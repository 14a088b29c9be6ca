"""As whom to call a service of others."""

import msgspec


class Credentials(msgspec.Struct, frozen=True, tag=True):
    """OAuth2 client credentials, with the secret itself: never stored, never shown."""

    url: str
    client_id: str
    secret: str
