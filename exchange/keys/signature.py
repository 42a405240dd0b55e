"""The signature of a login: HMAC-SHA256 over time, nonce and data, as Deribit defines it. The secret is not sent."""

import hmac


def signature_of(secret: str, timestamp_ms: int, nonce: str, data: str = "") -> str:
    """The signature as lower-case hexadecimal digits.

    Source: the `client_signature` grant of Deribit's `public/auth`.
    """
    text = f"{timestamp_ms}\n{nonce}\n{data}"
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
