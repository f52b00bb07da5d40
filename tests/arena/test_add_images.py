"""Images of an arena: what is taken, what is refused and how that is said, who sees them, and where."""

import io
import struct
import zipfile
import zlib

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse
from PIL import Image as Pictures

from arena import images
from arena.images import add_images, remove_image
from arena.leaks import Detector
from arena.matchmaking import plan_pairs
from arena.models import AuditEntry, Image, Output
from arena.uploads import UploadError
from tests import cast
from tests.accounts import client_of, make_member

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def files_elsewhere(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def client(arena):
    return client_of(make_member(arena, "maintainer"))


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), colour="red", **options) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", size, colour).save(file, kind, **options)
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def kept(row: Image) -> bytes:
    with default_storage.open(row.path) as file:
        return file.read()


def kept_picture() -> Pictures.Image:
    return Pictures.open(io.BytesIO(kept(Image.objects.get())))


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that say they are a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def problem_of(arena, *files: tuple[str, bytes]) -> str:
    with pytest.raises(UploadError) as error:
        add_images(arena=arena, files=files, actor=None)
    assert not Image.objects.exists()
    assert not default_storage.exists("images") or not default_storage.listdir("images")[0]
    return "\n".join(map(str, error.value.problems))


# --- what is taken ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_is_written_anew_as_webp(arena, kind):
    name = f"one.{kind.lower()}"
    assert add_images(arena=arena, files=[(name, picture(kind))], actor=None).new == 1
    row = Image.objects.get()
    assert (kept_picture().format, kept_picture().size) == ("WEBP", (40, 30))
    assert (row.name, row.width, row.height) == (name, 40, 30)


def test_metadata_and_what_stands_behind_the_picture_are_gone(arena):
    exif = Pictures.Exif()
    exif[0x010E] = "taken at home by Ada"
    jpeg = picture("JPEG", exif=exif, comment=b"secret words") + b"<script>alert(1)</script>"
    add_images(arena=arena, files=[("a.jpg", jpeg)], actor=None)
    content = kept(Image.objects.get())
    for words in (b"taken at home", b"secret", b"script", b"EXIF"):
        assert words not in content


def test_a_photograph_is_turned_as_its_metadata_say(arena):
    exif = Pictures.Exif()
    exif[0x0112] = 6
    add_images(arena=arena, files=[("a.jpg", picture("JPEG", exif=exif))], actor=None)
    assert (Image.objects.get().width, Image.objects.get().height) == (30, 40)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_colour_is_taken_and_transparent_is_white(arena, mode):
    file = io.BytesIO()
    Pictures.new(mode, (8, 8)).save(file, "JPEG" if mode == "CMYK" else "PNG")
    name = "a.jpg" if mode == "CMYK" else "a.png"
    add_images(arena=arena, files=[(name, file.getvalue())], actor=None)
    colour = kept_picture().convert("RGB").getpixel((4, 4))
    assert (min(colour) > 250) == (mode in ("LA", "RGBA", "CMYK"))


def test_a_large_image_is_shrunk(arena):
    add_images(arena=arena, files=[("a.png", picture(size=(4096, 1024)))], actor=None)
    assert (Image.objects.get().width, Image.objects.get().height) == (2048, 512)


def test_a_zip_keeps_its_folders_in_the_names(arena):
    packed = zipped(
        {
            "charts/1.png": picture(),
            "2.png": picture(),
            "__MACOSX/._2.png": b"x",
            "a/.DS_Store": b"",
        }
    )
    added = add_images(arena=arena, files=[("all.zip", packed)], actor=None)
    assert (added.new, added.known) == (2, 0)
    assert list(Image.objects.values_list("name", flat=True)) == ["2.png", "charts/1.png"]
    # The same picture twice is one file.
    assert Image.objects.values("digest").distinct().count() == 1


def test_sent_twice_nothing_is_added_twice(arena):
    for new in (1, 0):
        added = add_images(arena=arena, files=[("a.png", picture())], actor=None)
        assert (added.new, added.known) == (new, 1 - new)
    assert [entry.act for entry in AuditEntry.objects.all()] == ["add images"]


# --- what is refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.svg", b"<svg onload=alert(1)/>", "“a.svg”: SVG can hold scripts"),
        ("a.png", b"\n<svg xmlns='x'><script/></svg>", "“a.png”: SVG can hold scripts"),
        ("a.png", b"<!doctype html><script>alert(1)</script>", "“a.png”: SVG can hold scripts"),
        ("a.png", b"", "“a.png”: it is damaged"),
        ("a.png", b"no picture", "“a.png”: it is damaged"),
        ("a.png", picture()[:60], "“a.png”: it is damaged"),
        ("a.png", picture("TIFF"), "“a.png”: it is damaged, or no PNG"),
        ("a.png", png_that_claims(6_000, 5_000), "“a.png”: it has 6,000 × 5,000 pixels"),
        ("a.png", png_that_claims(12_000, 12_000), "“a.png”: it has more than 25 million"),
        ("a.png", png_that_claims(200_000, 200_000), "“a.png”: it has more than 25 million"),
        ("a.png", b"x" * (images.LARGEST_FILE + 1), "“a.png” is larger than 10 MB"),
        ("a.zip", b"PK no zip", "“a.zip”: it is damaged"),
        ("a.zip", zipped({}), "no image"),
        ("a.zip", zipped({"../../etc/x.png": b""}), "“../../etc/x.png” can’t be a name"),
        ("a.zip", zipped({"/etc/x.png": b""}), "“/etc/x.png” can’t be a name"),
        ("a.zip", zipped({"a/../x.png": b""}), "can’t be a name"),
        ("a.zip", zipped({"c:\\x.png": b""}), "can’t be a name"),
        ("a.zip", zipped({"x\u202egnp.png": b""}), "can’t be a name"),
        ("a.zip", zipped({"b.zip": zipped({})}), "“b.zip” can’t be a name"),
        ("a.zip", zipped({f"{'d/' * 100}x.png": b""}), "can’t be a name"),
        ("<img src=x onerror=alert(1)>.png", b"", "can’t be a name"),
        ("x.php", picture(), "can’t be a name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_name(arena, name, content, words):
    assert words in problem_of(arena, (name, content))


def test_what_moves_is_refused(arena):
    file = io.BytesIO()
    frames = [Pictures.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert "“a.gif”: it moves" in problem_of(arena, ("a.gif", file.getvalue()))


def test_a_bomb_of_zeros_is_not_unpacked(arena):
    packed = zipped({f"{n}.png": b"\0" * 30_000_000 for n in range(4)})
    assert len(packed) < 200_000
    assert "“a.zip”: unpacked it would be larger than 100 MB" in problem_of(
        arena, ("a.zip", packed)
    )


def test_a_bomb_that_lies_about_its_size_is_read_in_part(arena):
    packed = bytearray(zipped({"a.png": b"\0" * 30_000_000}))
    packed = packed.replace(struct.pack("<I", 30_000_000), struct.pack("<I", 1_000))
    assert "a" in problem_of(arena, ("a.zip", bytes(packed)))


def test_a_zip_of_very_many_files_is_refused_before_they_are_read(arena):
    packed = zipped({f"{n}.png": b"" for n in range(images.MOST_AT_ONCE + 1)})
    assert "it holds more than 500 files" in problem_of(arena, ("a.zip", packed))


def test_every_problem_is_told_and_nothing_is_kept(arena):
    words = problem_of(
        arena, ("a.png", picture()), ("b.png", b"no"), ("a.png", picture()), ("c.svg", b"")
    )
    assert "“a.png” comes twice" in words
    assert "“c.svg”" in words
    words = problem_of(arena, ("a.png", picture()), ("b.png", b"no"), ("d.png", b"no"))
    assert words.count("damaged") == 2


def test_more_pixels_than_can_be_waited_for_are_refused(arena):
    files = [("a.png", picture(size=(100, 100))), ("b.png", picture(size=(100, 101)))]
    with pytest.raises(UploadError, match="too many pixels: send fewer"):
        add_images(arena=arena, files=files, actor=None, most_pixels=20_000)
    assert add_images(arena=arena, files=files, actor=None, most_pixels=20_100).new == 2


def test_a_name_keeps_its_image(arena):
    add_images(arena=arena, files=[("a.png", picture())], actor=None)
    with pytest.raises(UploadError, match="another image of this name"):
        add_images(
            arena=arena, files=[("b.png", picture()), ("a.png", picture(colour="blue"))], actor=None
        )
    assert Image.objects.count() == 1


# --- the page, the command --------------------------------------------------------------------------------
def test_a_maintainer_adds_several_and_removes_one(arena, client):
    address = reverse("arena:manage-images", args=[arena.slug])
    files = [
        SimpleUploadedFile(f"{n}.png", picture(colour=c)) for n, c in enumerate(["red", "blue"])
    ]
    page = client.post(address, {"files": files}, follow=True)
    assert "2 images were added." in page.text
    first = Image.objects.get(name="0.png")
    remove = reverse("arena:remove-image", args=[arena.slug, first.pk])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda act, **_: act())
        assert "is removed" in client.post(remove, follow=True).text
    assert not default_storage.exists(first.path)
    assert client.post(remove).status_code == 404
    assert AuditEntry.objects.first().subject == "0.png"


def test_what_is_wrong_is_said_on_the_page(arena, client):
    address = reverse("arena:manage-images", args=[arena.slug])
    page = client.post(address, {"files": [SimpleUploadedFile("a.png", b"no")]})
    assert page.status_code == 422
    assert "“a.png”: it is damaged" in page.text
    assert "Choose" in client.post(address, {}).text or "required" in client.post(address, {}).text


def test_many_large_files_are_dropped_while_they_come_in(arena, client, settings):
    settings.LARGEST_UPLOAD = 10_000
    address = reverse("arena:manage-images", args=[arena.slug])
    files = [SimpleUploadedFile(f"{n}.png", b"x" * 6_000) for n in range(2)]
    page = client.post(address, {"files": files})
    assert page.status_code == 422
    assert "together, and none was taken" in page.text


@pytest.mark.parametrize("role", ["voter", "researcher", None])
def test_only_maintainers_manage_images(arena, role):
    other = client_of(make_member(arena, role) if role else None)
    row = cast_image(arena)
    for name, rest in (("manage-images", []), ("remove-image", [row.pk])):
        response = other.post(reverse(f"arena:{name}", args=[arena.slug, *rest]))
        assert response.status_code == (404 if role else 302)
    assert Image.objects.count() == 1


def test_an_image_of_another_arena_cannot_be_removed(arena, client):
    row = cast_image(cast.make_arena("others"))
    assert client.post(reverse("arena:remove-image", args=[arena.slug, row.pk])).status_code == 404


def test_a_command_adds_files_folders_and_zips(arena, tmp_path, capsys):
    (tmp_path / "many" / "charts").mkdir(parents=True)
    (tmp_path / "many" / "charts" / "1.png").write_bytes(picture())
    (tmp_path / "b.zip").write_bytes(zipped({"2.png": picture()}))
    (tmp_path / "3.png").write_bytes(picture())
    call_command("add_images", arena.slug, *(str(tmp_path / n) for n in ("many", "b.zip", "3.png")))
    assert "3 added, 0 there already." in capsys.readouterr().out
    assert set(Image.objects.values_list("name", flat=True)) == {"charts/1.png", "2.png", "3.png"}
    (tmp_path / "4.png").write_bytes(b"no")
    with pytest.raises(CommandError, match="it is damaged"):
        call_command("add_images", arena.slug, str(tmp_path / "4.png"))


# --- how they are served ----------------------------------------------------------------------------------
def cast_image(arena, name: str = "a.png", **look) -> Image:
    add_images(arena=arena, files=[(name, picture(**look))], actor=None)
    return Image.objects.get(arena=arena, name=name)


def address_of(row: Image) -> str:
    return reverse("arena:image", args=[row.arena.slug, row.digest])


def test_an_image_is_kept_by_browsers_and_can_do_nothing(arena, client):
    response = client.get(address_of(cast_image(arena)))
    assert response.headers["Content-Type"] == "image/webp"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert b"".join(response.streaming_content)[8:12] == b"WEBP"


def test_images_of_a_private_arena_are_for_its_members(arena, client):
    row = cast_image(arena)
    arena.is_public = False
    arena.save()
    assert client_of(None).get(address_of(row)).status_code == 404
    response = client.get(address_of(row))
    assert response.status_code == 200
    assert response.headers["Cache-Control"].startswith("private,")
    response.close()


def test_no_arena_serves_the_images_of_another(arena, client):
    row = cast_image(cast.make_arena("others"))
    assert client.get(reverse("arena:image", args=[arena.slug, row.digest])).status_code == 404


def test_an_image_whose_file_is_missing_is_not_found(arena, client):
    row = cast_image(arena)
    default_storage.delete(row.path)
    assert client.get(address_of(row)).status_code == 404


# --- where they are seen ----------------------------------------------------------------------------------
@pytest.fixture
def voted(small_arena):
    small_arena.policy = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}
    small_arena.is_open = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


SECRET = "ada-labs/chart 1.png"


@pytest.mark.parametrize("source", ["<ada-labs/chart 1.png>", "ada-labs/chart%201.png"])
def test_the_vote_page_shows_images_and_not_their_names(voted, source):
    row = cast_image(voted, SECRET)
    Output.objects.update(text=f"Look:\n\n![a bar chart]({source})", leak="")
    page = client_of(None).get(reverse("judges:vote", args=[voted.slug])).text
    tag = f'<img src="{address_of(row)}" alt="a bar chart" width="40" height="30" loading="lazy">'
    assert page.count(tag) == 2
    assert "image 1" in page
    for word in ("ada-labs", "chart%201", "chart 1"):
        assert word not in page


def test_a_name_that_is_hidden_in_escapes_shows_nowhere_either(voted):
    cast_image(voted, "cl1.png")
    Output.objects.update(text="![a](c&#108;1.png)", leak="")
    page = client_of(None).get(reverse("judges:vote", args=[voted.slug])).text
    assert page.count("<img") == 2
    assert "it names its images" in page
    assert "#108" not in page


def test_a_name_that_the_arena_does_not_know_loads_nothing(voted):
    cast_image(voted)
    Output.objects.update(
        text="![x](b.png) ![y](//evil.example/a.png) ![z](/a/others/images/a.webp)", leak=""
    )
    page = client_of(None).get(reverse("judges:vote", args=[voted.slug])).text
    assert "<img" not in page
    assert "image: x" in page


def test_what_an_image_shows_is_read_when_leaks_are_looked_for(small_arena):
    system = small_arena.systems.get(name="Basil")
    output = Output.objects.filter(system=system).first()
    detector = Detector(small_arena)
    for text in ("![a chart by Basil](1.png)", "![](Basil_1.png)", "[x](https://b%61sil.example/)"):
        output.text = text
        assert detector.leak(output) == "basil"


def test_a_page_asks_as_much_for_many_images_as_for_one(voted, django_assert_max_num_queries):
    prompt = voted.prompts.first()
    for number in range(3):
        cast_image(voted, f"{number}.png", size=(40 + number, 30))
    address = reverse("arena:prompt", args=[voted.slug, prompt.pk])
    counts = []
    for text in ("![a](0.png)", "![a](0.png) ![a](1.png) ![a](2.png)"):
        Output.objects.update(text=text)
        images._pictures.cache_clear()
        with django_assert_max_num_queries(50) as queries:
            page = client_of(None).get(address).text
        counts.append(len(queries))
        assert page.count("<img") == 4 * text.count("!")
    assert counts[0] == counts[1]


def test_an_image_that_is_added_or_removed_shows_at_once(voted):
    address = reverse("arena:prompt", args=[voted.slug, voted.prompts.first().pk])
    Output.objects.update(text="![a](0.png) ![a](1.png)")
    for name, expected in (("0.png", 1), ("1.png", 2)):
        cast_image(voted, name, size=(9, 9))
        assert client_of(None).get(address).text.count("<img") == 4 * expected
    remove_image(image=Image.objects.get(name="0.png"), actor=None)
    assert client_of(None).get(address).text.count("<img") == 4


def test_a_text_without_images_asks_nothing(voted, django_assert_max_num_queries):
    address = reverse("arena:prompt", args=[voted.slug, voted.prompts.first().pk])
    with django_assert_max_num_queries(50) as queries:
        client_of(None).get(address)
    assert not any("arena_image" in query["sql"] for query in queries.captured_queries)
