# Turns `make bench NAME=value` into options of a program: --name value for each name that is in
# OPTIONS, and for those in PATHS with the path from where make was called. Only what stands on the
# command line counts, and a name that nothing knows ends make at once.

given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
unknown := $(filter-out $(OPTIONS) $(PATHS) NMT_DATA PYTHON VENV,$(given))
ifneq ($(unknown),)
$(error nothing is called $(unknown); known: $(OPTIONS) $(PATHS))
endif

name = --$(subst _,-,$(shell printf %s '$(1)' | tr A-Z a-z))
options = $(foreach o,$(filter $(given),$(OPTIONS)),$(call name,$o) $($o)) \
          $(foreach o,$(filter $(given),$(PATHS)),$(call name,$o) "$(abspath $($o))")
