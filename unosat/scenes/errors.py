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
