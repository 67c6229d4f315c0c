# Turns `make bench NAME=value` into options of a program: --name value for each name that is in
# OPTIONS, and for those in PATHS with the path from where make was called. Only what stands on the
# command line counts, nothing and no value is the same, and a name that nothing knows ends make.

given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$(if $(strip $($v)),$v)))
unknown := $(filter-out $(OPTIONS) $(PATHS) NMT_DATA PYTHON VENV BIN,$(given))
ifneq ($(unknown),)
$(error nothing is called $(unknown); known: $(OPTIONS) $(PATHS))
endif

name = --$(subst _,-,$(shell printf %s '$(1)' | tr A-Z a-z))
path = "$(if $(filter /%,$(firstword $(1))),,$(CURDIR)/)$(1)"
options = $(foreach o,$(filter $(given),$(OPTIONS)),$(call name,$o) $($o)) \
          $(foreach o,$(filter $(given),$(PATHS)),$(call name,$o) $(call path,$($o)))
