/* hone/hone.h - everything stable. SPDX-License-Identifier: Apache-2.0 */
#ifndef HONE_HONE_H
#define HONE_HONE_H

#include "device.h"
#include "optimizer.h"
#include "plugin.h"
#include "reader.h"
#include "recipe.h"
#include "weights.h"

#endif /* HONE_HONE_H */
