"""The learner's workspace with the modules and packages that the course really has."""

from pathlib import Path

from tt_tito.course._curriculum import package_folder, package_of
from tt_tito.course._exercises import encode, fill, is_blank, reference_body
from tt_tito.workspace._workspace import Workspace


def test_all_modules_started_in_turn_and_solved_are_the_course_again(
    repository: Path, tmp_path: Path
) -> None:
    workspace = Workspace.open(repository, tmp_path / "her workspace")
    digests = {}
    for module in workspace.curriculum.modules:
        change = workspace.start(module.number)
        assert change.kept == ()
        digests[module.number] = workspace.digest(module.number)
    snapshot = workspace.snapshot()
    for number, digest in digests.items():
        assert snapshot.of_module(number).digest == digest, f"{number} went stale"

    for module in workspace.curriculum.modules:
        for exercise in module.exercises:
            folder = workspace.folder / package_of(exercise)
            reference = package_folder(repository, package_of(exercise))
            assert is_blank(folder, exercise), exercise
            for file, text in fill(folder, exercise, reference_body(reference, exercise)).items():
                (folder / file).write_bytes(encode(text))
    for package, folder in workspace.packages().items():
        for path in folder.rglob("*"):
            if path.is_file():
                original = package_folder(repository, package) / path.relative_to(folder)
                assert path.read_bytes() == original.read_bytes(), path
