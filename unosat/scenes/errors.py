"""Why an upload or a scene is refused."""

from unosat.errors import RefusedError


class ImageRefused(RefusedError):
    """Base of what is wrong with a file; found before or while it is converted."""

    code = "image_refused"
    user_message = "The image cannot be used."
    status = 422


class NotATiff(ImageRefused):
    """The first bytes are not those of a TIFF."""

    code = "not_a_tiff"
    user_message = "This is not a GeoTIFF, whatever its name says. Export the image as a GeoTIFF."


class DamagedTiff(ImageRefused):
    """The directory of the file contradicts itself or the file's length."""

    code = "damaged_tiff"
    user_message = "The file is damaged or was not sent completely. Export and upload it again."


class UnsupportedCompression(ImageRefused):
    """A compression scheme that is not on the list."""

    code = "unsupported_compression"
    user_message = (
        "The image is compressed in a way that is not accepted. "
        "Export it uncompressed, or with LZW, Deflate, ZSTD or JPEG."
    )


class UnsupportedLayout(ImageRefused):
    """Numbers of images, bands, bits or blocks beyond what any real scene needs."""

    code = "unsupported_layout"
    user_message = (
        "The image is stored in an unusual way that is not accepted. "
        "Export it again as a tiled GeoTIFF with 8 or 16 bits."
    )


class BlocksTooLarge(ImageRefused):
    """One block would need more memory than a block may."""

    code = "blocks_too_large"
    user_message = "The image is stored in blocks that are too large. Export it as a tiled GeoTIFF."


class TooManyPixels(ImageRefused):
    """More pixels than one scene may have."""

    code = "too_many_pixels"
    user_message = "The image has more than 12 thousand million pixels. Cut it into parts."


class ForeignReference(ImageRefused):
    """The metadata names another file, which must never be opened."""

    code = "foreign_reference"
    user_message = (
        "The image refers to other files. Export it again as one GeoTIFF without side files."
    )


class BadGeoreference(ImageRefused):
    """Its place on the map is said in numbers or names that nobody can use."""

    code = "bad_georeference"
    user_message = (
        "The image says in an impossible way where it lies on the map. "
        "Export it again with its coordinate system."
    )


class TooExpensive(ImageRefused):
    """Converting it took more time or memory than a check allows."""

    code = "too_expensive"
    user_message = (
        "The image needs more time or memory than a check allows. "
        "Export it as a tiled GeoTIFF, or cut it into parts."
    )


class UploadTooLarge(RefusedError):
    """More bytes than this installation takes."""

    code = "upload_too_large"
    user_message = "The file is larger than this server accepts. Compress it, or cut it into parts."
    status = 413


class EmptyFile(RefusedError):
    """No bytes at all were announced."""

    code = "empty_file"
    user_message = "The file is empty. Export the image again."
    status = 400


class QuotaExceeded(RefusedError):
    """The organisation may not keep so much."""

    code = "quota_exceeded"
    status = 413

    def __init__(self, user_message: str, detail: str) -> None:
        """Say how much is left, and what to do."""
        super().__init__(detail)
        self.user_message = user_message


class SceneBeyondQuota(ImageRefused):
    """The organisation may not keep so much, once the image is decoded."""

    code = "scene_beyond_quota"
    status = 413

    def __init__(self, user_message: str, detail: str) -> None:
        """Say how much is left, and what to do."""
        super().__init__(detail)
        self.user_message = user_message


class StorageFull(RefusedError):
    """The disk is full; what was received is kept."""

    code = "storage_full"
    user_message = (
        "The server's disk is full. What has arrived is kept. "
        "Ask the administrator to make room, then go on."
    )
    status = 507


class NoRoomForFile(StorageFull):
    """The disk is too full to begin."""

    user_message = (
        "The server's disk has no room for this file. Ask the administrator to make room."
    )


class WrongOffset(RefusedError):
    """The client and the server disagree on how much has arrived."""

    code = "wrong_offset"
    user_message = "The upload continues at another place. Ask where, and go on from there."
    status = 409


class UploadBusy(RefusedError):
    """Another request is writing to the same upload."""

    code = "upload_busy"
    user_message = "Another connection is sending this file. Try again in a moment."
    status = 423


class UploadGone(RefusedError):
    """The upload was ended or has expired."""

    code = "upload_gone"
    user_message = "This upload has ended or has expired. Start it again."
    status = 410


class UploadComplete(RefusedError):
    """It became an image, which others may be working with."""

    code = "upload_complete"
    user_message = "This file has arrived and is an image now. It can no longer be given up."
    status = 403


class ChecksumMismatch(RefusedError):
    """The bytes that arrived are not the bytes that were sent."""

    code = "checksum_mismatch"
    user_message = "Part of the file was damaged on its way. Send that part again."
    status = 460


class BadUpload(RefusedError):
    """A tus header is missing or wrong."""

    code = "bad_upload"
    user_message = "The upload request is not complete or not in the right form."
    status = 400


class BadSceneFacts(RefusedError):
    """What was said about the scene cannot be used."""

    code = "bad_scene_facts"
    user_message = (
        "Say which event the image belongs to, and whether it was taken before or after it."
    )
    status = 422


class EventNameTaken(RefusedError):
    """Names of events differ within an organisation."""

    code = "event_name_taken"
    user_message = "There is already an event of that name. Choose another name, or use that event."


class SceneNotReady(RefusedError):
    """There is no clean image yet, or there never will be."""

    code = "scene_not_ready"
    user_message = "This image is still being checked, or was refused. Look at its page."


class BadLook(RefusedError):
    """A picture is asked for with bands, a brightness or a contrast that there is not."""

    code = "bad_look"
    status = 422

    def __init__(self, user_message: str, asked: str) -> None:
        super().__init__(f"asked for {asked[:40]!r}")
        self.user_message = user_message


class FetchRefused(RefusedError):
    """Base of why nothing is fetched from a link; most are found out by the worker."""

    code = "fetch_refused"
    user_message = "The link cannot be imported from."
    status = 422


class FetchingSwitchedOff(FetchRefused):
    """The installation names no port to fetch from."""

    code = "fetching_switched_off"
    user_message = "This server does not import from links. Download the image, then upload it."


class LinkNotAllowed(FetchRefused):
    """Not https, another port, a user name in it, or not an address at all."""

    code = "link_not_allowed"
    user_message = (
        "Give a whole link that begins with https://, without a user name, password or unusual "
        "port. Links of other kinds, such as s3://, have to be downloaded and uploaded."
    )


class AddressNotAllowed(FetchRefused):
    """The host, or a host it redirects to, has an address that is not public."""

    code = "address_not_allowed"
    user_message = (
        "The link leads into a private network, from which nothing is ever fetched. "
        "Download the image, then upload it."
    )


class HostUnknown(FetchRefused):
    """There is no address for the host's name."""

    code = "host_unknown"
    user_message = "There is no server of that name. Check the link."


class CertificateNotTrusted(FetchRefused):
    """TLS could not tell that the server is the one in the link."""

    code = "certificate_not_trusted"
    user_message = (
        "The server could not prove that it is the one in the link. "
        "Check the link, or download the image and upload it."
    )


class TooManyRedirects(FetchRefused):
    """The link leads from one address to the next."""

    code = "too_many_redirects"
    user_message = "The link leads from one address to another too often. Give the last one."


class SourceRefused(FetchRefused):
    """The server answered with something else than the file."""

    code = "source_refused"

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.user_message = _ANSWERS.get(
            status, f"The server answers with the error {status}. Check the link."
        )


class SourceUnreachable(FetchRefused):
    """Again and again no connection, or none that lasts; what has arrived is kept."""

    code = "source_unreachable"
    user_message = (
        "The server does not answer, or the connection breaks off again and again. "
        "What has arrived is kept: try again later."
    )


class SourceTooSlow(FetchRefused):
    """The bytes come so slowly that others would wait too long."""

    code = "source_too_slow"
    user_message = "The server sends too slowly. Download the image, then upload it."


class SourceChanges(FetchRefused):
    """It had to begin at the first byte again and again."""

    code = "source_changes"
    user_message = (
        "The file changed while it was fetched, or the server cannot go on in the middle of it. "
        "Try again later, or download the image and upload it."
    )


class SourceEncoded(FetchRefused):
    """The server packs what it sends, though it was asked not to."""

    code = "source_encoded"
    user_message = (
        "The server sends the file compressed for transport, which is not accepted. "
        "Download the image, then upload it."
    )


class SourceEndless(FetchRefused):
    """Nothing tells a whole file from one that was cut off."""

    code = "source_endless"
    user_message = (
        "The server does not say where the file ends, so nobody could tell whether it is whole. "
        "Download the image, then upload it."
    )


class NotAnImageLink(FetchRefused):
    """Neither a TIFF nor a STAC item, by its first bytes."""

    code = "not_an_image_link"
    user_message = (
        "The link leads neither to a GeoTIFF nor to a STAC item; perhaps to a web page. "
        "Give the link of the file itself."
    )


class BadStacItem(FetchRefused):
    """JSON that is not a STAC item, or too large for one."""

    code = "bad_stac_item"
    user_message = "The link leads to JSON that is not a STAC item. Give the link of one item."


class NoImageAsset(FetchRefused):
    """A STAC item without an asset that could be an image for us."""

    code = "no_image_asset"
    user_message = "The STAC item has no GeoTIFF of data or to look at. Give another item."


class AssetNotNamed(FetchRefused):
    """A STAC item with several images, of which nobody chose one, or one that is not there."""

    code = "asset_not_named"

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(f"{len(keys)} assets")
        self.keys = keys
        names = ", ".join(key[:_KEY_LETTERS] for key in keys[:_KEYS_NAMED])
        more = ", ..." if len(keys) > _KEYS_NAMED else ""
        self.user_message = f"The STAC item has these images; choose one of them: {names}{more}"


class TooManyFetches(RefusedError):
    """So many are under way for one organisation that others would wait too long."""

    code = "too_many_fetches"
    user_message = "Many imports are under way. Wait until some are finished, or cancel some."
    status = 429
    retry_after_seconds = 60


class FetchEnded(RefusedError):
    """It is over, or is not: what was asked for does not fit."""

    code = "fetch_ended"
    user_message = "That import is in another state by now. Look at it again."


_KEYS_NAMED, _KEY_LETTERS = 8, 30  # a sentence, not the whole item: a job's has room for 400
_SIGN_IN = "The server does not give that file without a sign-in, or the link has expired."
_NOTHING = "There is nothing at that link. Check it, or ask for a new one."
_ANSWERS = {401: _SIGN_IN, 403: _SIGN_IN, 404: _NOTHING, 410: _NOTHING}
