"""From a source, what it says of itself and the payloads it needs, to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder.errors import BuildError
from pybuilder.plan import BUILD_PATH, ENVIRONMENT_PATH, Ingredient, Plan, Recipe, Root, Target, digest
from pybuilder.sandbox import SANDBOX_VERSION
from pybuilder.stages import Adapters, Channel, Pinned, Project, Source
from pybuilder.wheel import CANONICALISER_VERSION


def recipe(source: Pinned, channel: Channel) -> Recipe:
    """What a person decided about this version; of upstream's wheel, which it is and no more."""
    if source.spec.prebuilt:
        return _recipe_of_wheel(source)
    build = source.spec.build
    return Recipe(
        name=source.name,
        version=str(source.version),
        source=source.sha256,
        subdirectory=source.spec.source.subdirectory,
        patches=tuple(patch.sha256 for patch in source.patches),
        add_requires=tuple(str(requirement) for requirement in build.add_requires),
        remove_requires=tuple(build.remove_requires),
        env=dict(build.env),
        config_settings=dict(build.config_settings),
        vendor=build.vendor,
        root_env=dict(channel.env),
        root_macros=dict(channel.macros),
    )


def _recipe_of_wheel(source: Pinned) -> Recipe:
    return Recipe(
        name=source.name,
        version=str(source.version),
        source=source.sha256,
        subdirectory="",
        patches=(),
        add_requires=(),
        remove_requires=(),
        env={},
        config_settings={},
        vendor="",
        root_env={},
        root_macros={},
    )


def build_requirements(source: Source, project: Project, dynamic: Iterable[str] = ()) -> tuple[Requirement, ...]:
    """What the build environment must satisfy: what upstream states, less and plus what the spec says, less doubles.

    Args:
        source: Whose spec adds and removes.
        project: Whose ``build-system.requires`` is the beginning.
        dynamic: What ``get_requires_for_build_wheel`` returned.

    Returns:
        Nothing where upstream's wheel is used.

    Raises:
        BuildError: One names a URL: what it means is not in our index, and another source must not take its place.
    """
    if source.spec.prebuilt:
        return ()
    removed = set(source.spec.build.remove_requires)
    stated = [*project.requires, *(Requirement(text) for text in dynamic)]
    kept = [requirement for requirement in stated if canonicalize_name(requirement.name) not in removed]
    if by_url := next((each for each in kept if each.url), None):
        raise BuildError(
            f"the build of {source.name} {source.version} requires {by_url.name} by URL, and sees our own index only",
            where=f"specs/{source.name}.toml",
            cure=f'say [build] remove-requires = ["{by_url.name}"], and in add-requires which version will do',
        )
    added = [Requirement(str(text)) for text in source.spec.build.add_requires]
    return tuple({str(requirement): requirement for requirement in (*kept, *added)}.values())


def known_dynamic(
    adapters: Adapters, source: Source, project: Project, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """What a backend wants besides what its source states, as it said in an earlier build.

    Args:
        adapters: The world.
        source: What the backend builds.
        project: What that says of itself.
        environment: Versions by name; a backend's wants may depend on its version.
    """
    return tuple(adapters.state.fact("dynamic", _dynamic_key(adapters, source, project, environment)) or ())


def learn_dynamic(
    adapters: Adapters,
    source: Source,
    project: Project,
    environment: Mapping[str, str],
    wanted: Iterable[Requirement],
) -> None:
    """Remember what a backend wants besides what its source states."""
    key = _dynamic_key(adapters, source, project, environment)
    adapters.state.add_fact("dynamic", key, [str(requirement) for requirement in wanted])


def _dynamic_key(adapters: Adapters, source: Source, project: Project, environment: Mapping[str, str]) -> str:
    # By version, not by payload: it is looked up before anything is built. By root: what that has no backend wants.
    names = {canonicalize_name(requirement.name) for requirement in build_requirements(source, project)}
    backends = sorted([name, environment[name]] for name in names & environment.keys())
    root = adapters.roots.for_build(source.spec.system.build).digest
    return digest([recipe(source, adapters.channel).digest(), adapters.target.name, root, backends])


def build_path(source: Source) -> str:
    """Where the source lies inside the sandbox."""
    return f"{BUILD_PATH}/{source.name}-{source.version}"


def make_plan(
    source: Source,
    project: Project,
    *,
    requires: Sequence[Requirement],
    environment: Iterable[Ingredient],
    root: Root,
    target: Target,
    channel: Channel,
) -> Plan:
    """The plan for one source on one target."""
    return Plan(
        recipe=recipe(source, channel),
        root=root,
        target=target,
        requires=tuple(sorted(str(requirement) for requirement in requires)),
        environment=tuple(sorted(environment)),
        source_date_epoch=project.source_date_epoch,
        build_path=build_path(source),
        environment_path=ENVIRONMENT_PATH,
        sandbox_version=SANDBOX_VERSION,
        canonicaliser_version=CANONICALISER_VERSION,
    )
