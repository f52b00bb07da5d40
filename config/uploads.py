"""What is uploaded is bounded while it comes in: nobody fills the disk."""

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile


class Bounded(FileUploadHandler):
    """Drops a file when all that came with it are larger than settings.LARGEST_UPLOAD bytes, and says so
    on the request.

    Stands before the handlers that keep files. ``request.dropped_uploads`` holds the names of the fields.
    """

    received = 0  # bytes of all files of the request

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.received += len(raw_data)
        if self.received > settings.LARGEST_UPLOAD:
            dropped = getattr(self.request, "dropped_uploads", set())
            self.request.dropped_uploads = dropped | {self.field_name}
            raise SkipFile("larger than is taken")
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
