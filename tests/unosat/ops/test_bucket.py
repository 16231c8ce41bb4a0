"""What UNOSAT_STORAGE_URL may say."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from unosat.ops.bucket import Bucket


def test_an_address_names_the_server_the_bucket_and_the_key_to_it() -> None:
    bucket = Bucket.parse("s3+http://me:se%2Fcret%2B%40@store:9000/imagery/team/a/?region=eu-1")

    assert (bucket.endpoint, bucket.name, bucket.prefix) == (
        "http://store:9000",
        "imagery",
        "team/a",
    )
    assert (bucket.access_key, bucket.secret_key, bucket.region) == ("me", "se/cret+@", "eu-1")
    assert bucket.full_key("cogs/a.tif") == "team/a/cogs/a.tif"


def test_tls_is_spoken_unless_the_address_says_otherwise() -> None:
    bucket = Bucket.parse("s3://me:secret@s3.example.org/imagery?addressing=virtual")

    assert bucket.endpoint == "https://s3.example.org"
    assert bucket.as_gdal()["AWS_HTTPS"] == "YES"
    assert bucket.as_gdal()["AWS_VIRTUAL_HOSTING"] == "TRUE"


@pytest.mark.parametrize(
    "url",
    [
        "s3://store/imagery",  # no key
        "s3://me:hush@/imagery",  # no server
        "s3://me:hush@store",  # no bucket
        "https://me:hush@store/imagery",
        "s3://me:hush@store:port/imagery",
        "s3://me:hush@store/imagery?adressing=path",
        "s3://me:hush@store/imagery?addressing=sideways",
    ],
)
def test_an_address_that_lacks_something_is_refused_without_repeating_the_secret(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="KEY:SECRET@HOST/BUCKET") as refusal:
        Bucket.parse(url)

    assert "hush" not in str(refusal.value)


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(Bucket.parse("s3://me:hush@store/imagery"))
