import asyncio

import pytest

from gateway.users import UserError, open_users
from tests.gateway.support import PASSWORD, add_users, bearer, log_in
from tests.processes import send


async def test_login_gives_a_token_that_says_who_i_am(gateway, http):
    tokens = await log_in(http, gateway.url)
    reply = await send(http, "GET", f"{gateway.url}/v1/me", headers=bearer(tokens))
    assert reply.json == {"username": "ada", "role": "viewer", "namespaces": None, "clusters": None}
    assert tokens["expires_in"] <= 900
    assert tokens["scope"] == "read"


@pytest.mark.parametrize("form", [{"username": "ada", "password": "wrong"}, {"username": "eve", "password": "wrong"}])
async def test_wrong_password_and_unknown_user_look_the_same(gateway, http, form):
    reply = await send(http, "POST", f"{gateway.url}/v1/auth/token", data=form)
    assert (reply.status, reply.json["code"], reply.json["error"]) == (400, "invalid_grant", "invalid_grant")
    assert "user is disabled" in reply.json["detail"]


async def test_a_refresh_token_works_once(gateway, http):
    first = await log_in(http, gateway.url)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = await send(http, "POST", f"{gateway.url}/v1/auth/refresh", data=form)
    assert second.status == 200
    assert second.json["refresh_token"] != first["refresh_token"]


async def test_reuse_of_a_refresh_token_ends_every_token_of_the_login(gateway, http):
    first = await log_in(http, gateway.url)
    url = f"{gateway.url}/v1/auth/refresh"
    second = (await send(http, "POST", url, data={"refresh_token": first["refresh_token"]})).json
    replay = await send(http, "POST", url, data={"refresh_token": first["refresh_token"]})
    assert (replay.status, replay.json["code"]) == (400, "invalid_grant")
    successor = await send(http, "POST", url, data={"refresh_token": second["refresh_token"]})
    assert successor.status == 400
    for tokens in (first, second):
        assert (await send(http, "GET", f"{gateway.url}/v1/me", headers=bearer(tokens))).status == 401


async def test_of_many_uses_of_one_refresh_token_at_once_at_most_one_succeeds(gateway, http):
    first = await log_in(http, gateway.url)
    form = {"refresh_token": first["refresh_token"]}
    replies = await asyncio.gather(*(send(http, "POST", f"{gateway.url}/v1/auth/refresh", data=form) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200, *[400] * 7]


async def test_logout_ends_the_access_and_the_refresh_token(gateway, http):
    tokens = await log_in(http, gateway.url)
    other = await log_in(http, gateway.url)
    reply = await send(http, "POST", f"{gateway.url}/v1/auth/logout", headers=bearer(tokens))
    assert reply.status == 204
    me = await send(http, "GET", f"{gateway.url}/v1/me", headers=bearer(tokens))
    assert (me.status, me.json["code"]) == (401, "token_invalid")
    form = {"refresh_token": tokens["refresh_token"]}
    assert (await send(http, "POST", f"{gateway.url}/v1/auth/refresh", data=form)).status == 400
    assert (await send(http, "GET", f"{gateway.url}/v1/me", headers=bearer(other))).status == 200


async def test_guessing_is_throttled_per_account_and_a_right_password_is_not_looked_at(own_redis, make_gateway, http):
    await add_users(own_redis.url)
    running = make_gateway(own_redis.url, login_failures_account="3/minute")
    url, wrong = f"{running.url}/v1/auth/token", {"username": "ada", "password": "wrong"}
    statuses = [(await send(http, "POST", url, data=wrong)).status for _ in range(4)]
    assert statuses == [400, 400, 400, 429]
    right = await send(http, "POST", url, data={"username": "ADA", "password": PASSWORD})
    assert right.status == 429
    assert int(right.headers["Retry-After"]) <= 60
    assert right.json["violated-policies"] == ["login-account"]
    other = await send(http, "POST", url, data={"username": "bob", "password": PASSWORD})
    assert other.status == 200


async def test_guessing_many_accounts_is_throttled_per_address(own_redis, make_gateway, http):
    running = make_gateway(own_redis.url, login_failures_address="5/minute")
    replies = [
        await send(http, "POST", f"{running.url}/v1/auth/token", data={"username": f"u{n}", "password": "x"})
        for n in range(6)
    ]
    assert [reply.status for reply in replies] == [400] * 5 + [429]


async def test_disabling_a_user_and_resetting_a_password_end_their_tokens_at_once(own_redis, make_gateway, http):
    await add_users(own_redis.url)
    running = make_gateway(own_redis.url)
    ada, bob = await log_in(http, running.url), await log_in(http, running.url, "bob")
    async with open_users(own_redis.url) as users:
        await users.disable("ada")
        await users.reset("bob", "another good password")
    for tokens in (ada, bob):
        assert (await send(http, "GET", f"{running.url}/v1/me", headers=bearer(tokens))).status == 401
        form = {"refresh_token": tokens["refresh_token"]}
        assert (await send(http, "POST", f"{running.url}/v1/auth/refresh", data=form)).status == 400
    form = {"username": "ada", "password": PASSWORD}
    assert (await send(http, "POST", f"{running.url}/v1/auth/token", data=form)).status == 400


async def test_users_can_be_listed_and_are_refused_when_they_make_no_sense(own_redis):
    async with open_users(own_redis.url) as users:
        await users.create("Ada", PASSWORD)
        with pytest.raises(UserError) as twice:
            await users.create("ada", PASSWORD)
        with pytest.raises(UserError) as short:
            await users.create("eve", "short")
        with pytest.raises(UserError) as odd:
            await users.create("../etc\n", PASSWORD)
        assert [error.value.code for error in (twice, short, odd)] == [
            "user_exists",
            "password_too_short",
            "user_name_invalid",
        ]
        assert [user.username for user in await users.list()] == ["ada"]
