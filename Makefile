# `make run` reads the sample scans; `make test` runs every check. Both install what they need into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: run test lint unit slow pictures original-models clean

run: $(STAMP)
	$(BIN)/processor run --once examples || test $$? -eq 1
	@echo; echo "The numbers of one of the samples, form.png:"
	@$(BIN)/processor results --file form.png
	@echo; echo "All numbers: $(BIN)/processor results, or results/numbers.csv; those of one scan: results/csv"
	@echo "Pages with what was read drawn onto them: results/annotated   Database: results/results.db"

test: lint unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/pytest -n 2

slow: $(STAMP)
	$(BIN)/pytest -m slow --timeout 7200

# The pictures of README.md and docs/, made anew by the model in use.
pictures: $(STAMP)
	$(BIN)/python docs/pictures.py

# The three models of the original program, trained anew on its data set and published into models_archive.
# DATA is the folder of the data sets: `training download seed` fetches what is needed.
DATA ?= data
original-models: $(STAMP)
	for samples in 2000 5000 -1; do \
	  $(BIN)/training fit --recipe original --data "$(DATA)" --samples $$samples \
	    --out runs/model_$$samples --publish model_$$samples || exit 1; \
	done

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV); the first time this takes minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
