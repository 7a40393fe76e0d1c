"""Errors of requests and images, one class for each kind, with their HTTP status (RFC 9457)."""

from typing import Any, ClassVar


class OcrError(Exception):
    """Base class of errors that the caller can resolve; ``str(error)`` says how.

    Attributes
    ----------
    status : int
        HTTP status code.
    type : str
        URI of the kind of problem.
    title : str
        Summary of the kind of problem, the same for every occurrence.
    """

    status: ClassVar[int]
    type: ClassVar[str]
    title: ClassVar[str]

    def problem(self, request_id: str) -> dict[str, Any]:
        """Return the error as a problem of RFC 9457, with the id of the request in the log."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": str(self),
            "request_id": request_id,
        }


class MalformedRequest(OcrError):
    """The request does not have the form that the route expects."""

    status = 400
    type = "urn:paragraph-ocr:malformed-request"
    title = "The request is malformed"


class RouteNotFound(OcrError):
    """No route has this path."""

    status = 404
    type = "urn:paragraph-ocr:route-not-found"
    title = "There is no such route"


class JobNotFound(OcrError):
    """The caller has no such job."""

    status = 404
    type = "urn:paragraph-ocr:job-not-found"
    title = "There is no such job"


class ImageGone(OcrError):
    """The image was deleted before it was read."""

    status = 404
    type = "urn:paragraph-ocr:image-gone"
    title = "The image is gone"


class MethodNotAllowed(OcrError):
    """The path exists, but not with this method."""

    status = 405
    type = "urn:paragraph-ocr:method-not-allowed"
    title = "The route does not take this method"


class NotAcceptable(OcrError):
    """The request accepts none of the output formats."""

    status = 406
    type = "urn:paragraph-ocr:not-acceptable"
    title = "The answer has no such form"


class TooLarge(OcrError):
    """More bytes, pixels, pages, lines or memory than the limits allow."""

    status = 413
    type = "urn:paragraph-ocr:too-large"
    title = "The image is too large"


class DocumentTooLarge(OcrError):
    """A corrected document has more pages, lines, words, points or characters than the limits allow."""

    status = 413
    type = "urn:paragraph-ocr:document-too-large"
    title = "The document is too large"


class UnsupportedContentType(OcrError):
    """The request's content type is not on the list."""

    status = 415
    type = "urn:paragraph-ocr:unsupported-content-type"
    title = "The content type is not supported"


class UnsupportedFormat(OcrError):
    """The content is of no supported image format."""

    status = 415
    type = "urn:paragraph-ocr:unsupported-format"
    title = "The image format is not supported"


class BrokenImage(OcrError):
    """The content is of a supported format but damaged or encrypted."""

    status = 422
    type = "urn:paragraph-ocr:broken-image"
    title = "The image does not decode"


class BrokenDocument(OcrError):
    """A corrected document lacks something, or has a value that no reading of a page could have."""

    status = 422
    type = "urn:paragraph-ocr:broken-document"
    title = "The document is not what was read of an image"


class UrlRefused(OcrError):
    """The URL of the image is not allowed, or it leads to no image."""

    status = 422
    type = "urn:paragraph-ocr:url-refused"
    title = "The URL is refused"


class RemoteFailed(OcrError):
    """The server that holds the image's URL failed."""

    status = 502
    type = "urn:paragraph-ocr:remote-failed"
    title = "The URL's server failed"


class DeadlineExceeded(OcrError):
    """The time limit of the file is exceeded.

    504 rather than 503 (RFC 9110, 15.6.4 and 15.6.5), since the service is neither overloaded nor down, so that waiting
    does not help; API Gateway answers 504 for its own timeout, too.
    """

    status = 504
    type = "urn:paragraph-ocr:deadline-exceeded"
    title = "The image takes longer than the limit"
