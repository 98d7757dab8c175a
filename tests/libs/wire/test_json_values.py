import pytest

from libs.wire import HttpResponse, json_bytes


def test_json_is_compact_utf_8() -> None:
    response = HttpResponse.json(201, {"name": "Вікторія", "n": [1, None]}, {"x-id": "7"})
    assert response.body == '{"name":"Вікторія","n":[1,null]}'.encode()
    assert response.headers == {"content-type": "application/json; charset=utf-8", "x-id": "7"}
    assert response.status == 201


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_is_no_json_is_refused(value: float | str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_bytes(value)
