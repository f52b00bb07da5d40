"""The API: images of an arena, to which its prompts and outputs refer by name."""

from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from arena.api_once import WritesOnce
from arena.api_write import OfMaintainers, as_problems
from arena.images import add_images, remove_image
from arena.models import Image
from config.api import FilterSet, ReadOnlyViewSet, RowSerializer, TextFilter
from config.api_bodies import BytesParser
from config.problems import Refused

ZIP = "application/zip"
KINDS = ("image/png", "image/jpeg", "image/webp", "image/gif")


class OneImage(BytesParser):
    media_type = "image/*"


class ZipOfImages(BytesParser):
    media_type = ZIP


class ImageSerializer(RowSerializer):
    address = serializers.SerializerMethodField(help_text="Where it is served, as WebP.")

    class Meta:
        model = Image
        fields = ["id", "name", "address", "width", "height", "size", "created_at"]

    def get_address(self, image: Image) -> str:
        view = self.context["view"]
        path = reverse("arena:image", args=[view.arena.slug, image.digest])
        return view.request.build_absolute_uri(path)


class ImagesAddedSerializer(serializers.Serializer):
    """What came of the images that were sent."""

    added = serializers.IntegerField(help_text="How many were added.")
    known = serializers.IntegerField(help_text="How many were there already, and were left alone.")


class ImageFilters(FilterSet):
    name = TextFilter(max_length=200, help_text="The image of exactly this name.")


@extend_schema_view(
    list=extend_schema(
        summary="Images of an arena",
        description="Pictures to which texts refer by name. For maintainers; whoever sees the arena sees "
        "them in its texts.",
    ),
    retrieve=extend_schema(summary="One image", description="By its id."),
    create=extend_schema(
        summary="Add images",
        description="One image under a name, or a zip of them, in which each is named by its path. All are "
        "added or none; what is there already is left alone.",
        parameters=[
            OpenApiParameter(
                "name",
                {"type": "string", "minLength": 1, "maxLength": 200},
                OpenApiParameter.QUERY,
                description="The name of the image, e.g. roses.png; not with a zip.",
            )
        ],
        request=dict.fromkeys((ZIP, *KINDS), OpenApiTypes.BINARY),
    ),
    destroy=extend_schema(
        summary="Remove an image",
        description="Texts that refer to it show its description instead.",
    ),
)
class Images(OfMaintainers, WritesOnce, ReadOnlyViewSet):
    noun = "images"
    queryset = Image.objects.all()
    serializer_class = ImageSerializer
    filterset_class = ImageFilters
    parser_classes: ClassVar[list] = [ZipOfImages, OneImage]
    answer_classes: ClassVar = {"create": ImagesAddedSerializer}

    def known_parameters(self) -> dict[str, Any]:
        return {"name": None} if self.action == "create" else super().known_parameters()

    def create(self, request: Request, arena: str) -> Response:
        place, name = self.arena, request.query_params.get("name")
        content = request.data
        if not isinstance(content, bytes):
            raise Refused(f"There is no body: send an image, or {ZIP} with several.")
        is_zip = request.content_type.partition(";")[0].strip().lower() == ZIP
        if is_zip and name:
            raise ValidationError({"name": ["Images in a zip are named by their paths."]})
        if not is_zip and (not name or name.lower().endswith(".zip")):
            raise ValidationError({"name": ["Say how the image is called, e.g. roses.png."]})
        with as_problems():
            sent = [("images.zip" if is_zip else name, content)]
            done = add_images(arena=place, files=sent, actor=request.user)
        answer = ImagesAddedSerializer({"added": done.new, "known": done.known}).data
        return Response(answer, status=201 if done.new else 200)

    def destroy(self, request: Request, arena: str, pk: str) -> Response:
        remove_image(image=self.get_object(), actor=request.user)
        return Response(status=204)
