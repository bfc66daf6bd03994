"""Pages are filled from templates, and what data hold is escaped."""

from atelier.drawing.pages import page_template


def test_a_page_has_the_house_style_and_escapes_what_it_is_given(tmp_path):
    (tmp_path / "page.html.j2").write_text(
        '{% from "parts.html.j2" import table %}<style>{% include "style.css" %}</style>'
        '{{ table("a <b>", ["name"], [["<script>"]]) }}'
    )
    page = page_template(tmp_path, "page.html.j2").render()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "@media" in page
