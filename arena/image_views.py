"""Images of an arena: served to whoever sees the arena, added and removed by its maintainers."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena.access import managed_arena, visible_arena
from arena.forms import ImagesForm
from arena.images import add_images, remove_image
from arena.models import Image
from arena.upload_views import what_was_added
from arena.uploads import UploadError

A_PAGE = 48
MOST_PIXELS = 60_000_000  # of one upload: nobody waits longer for an answer
A_YEAR = 365 * 24 * 3600


@require_safe
def image(request: HttpRequest, arena: str, digest: str) -> HttpResponseBase:
    place = visible_arena(request.user, arena)
    found = Image.objects.filter(arena=place, digest=digest).first()
    if found is None:
        raise Http404("The arena has no such image.")
    try:
        file = default_storage.open(found.path)
    except FileNotFoundError as error:
        raise Http404("The file of this image is missing.") from error
    response = FileResponse(file, content_type="image/webp")
    # What stands at the address of a digest never changes. Only browsers keep that of a private arena.
    shared = "public" if place.is_public else "private"
    response.headers["Cache-Control"] = f"{shared}, max-age={A_YEAR}, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def images(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    form, wrong = ImagesForm(), None
    if request.method == "POST":
        # Reading the fields first takes the files in, and with them which were dropped.
        data, files = request.POST, request.FILES
        form = ImagesForm(data, files, dropped=getattr(request, "dropped_uploads", set()))
        if form.is_valid():
            sent = ((file.name, file.read()) for file in form.cleaned_data["files"])
            try:
                added = add_images(
                    arena=place, files=sent, actor=request.user, most_pixels=MOST_PIXELS
                )
            except UploadError as error:
                wrong = error
            else:
                messages.success(request, what_was_added(added.new, added.known, "image"))
                return redirect("arena:manage-images", place.slug)
    found = Image.objects.filter(arena=place)
    context = {
        "arena": place,
        "form": form,
        "wrong": wrong,
        "page": Paginator(found, A_PAGE).get_page(request.GET.get("page")),
    }
    is_wrong = wrong is not None or (form.is_bound and not form.is_valid())
    return render(request, "arena/manage/images.html", context, status=422 if is_wrong else 200)


@require_POST
@login_required
def remove(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = managed_arena(request.user, arena)
    found = get_object_or_404(Image, arena=place, pk=pk)
    remove_image(image=found, actor=request.user)
    messages.success(
        request, f"“{found.name}” is removed: texts that refer to it show its description instead."
    )
    return redirect("arena:manage-images", place.slug)
