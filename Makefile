# The two commands of the README, and what a developer needs between them.

.PHONY: demo test quality format clean

RUN := runs/wakeword

demo: .venv/installed-demo
	.venv/bin/edgecompress run examples/wakeword.toml --target mps2-an386 -o $(RUN)

test: quality
	.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

quality: .venv/installed-test
	tools/quality_gates.sh

format: .venv/installed-test
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	.venv/bin/clang-format -i $$(git ls-files 'device_runtime/*.[ch]' 'tests/runtime/*.[ch]')

.venv/installed-demo: pyproject.toml
	tools/install.sh demo

.venv/installed-test: pyproject.toml
	tools/install.sh test

clean:
	rm -rf .venv runs
	$(MAKE) -C device_runtime clean
