# SPDX-License-Identifier: GPL-2.0-or-later
# Draws rows of values, one for each factor, so that any two values of two
# factors meet in some row, as far as that is allowed. Input lines:
#
#	NAME VALUE...			a factor
#	! NAME=VALUE NAME=VALUE		these two may not meet
#
# Output: lines of NAME=VALUE words. The same seed gives the same rows with
# any awk. With -v more=N there are N more rows, of values drawn at random.

BEGIN { state = seed ? seed : 1 }

# Park and Miller: exact in a double, on any machine.
function draw(n)
{
	state = state * 16807 % 2147483647
	return state % n
}

$1 == "!" { forbidden[$2, $3] = forbidden[$3, $2] = 1; next }

NF {
	name[++factors] = $1
	count[factors] = NF - 1
	for (i = 2; i <= NF; i++)
		value[factors, i - 2] = $1 "=" $i
}

function is_allowed(    i, k)
{
	for (i = 1; i < factors; i++)
		for (k = i + 1; k <= factors; k++)
			if ((value[i, row[i]], value[k, row[k]]) in forbidden)
				return 0
	return 1
}

# A row in which value x of factor a meets value y of factor b; 0 if there
# seems to be none.
function draw_row(a, x, b, y,    tries, i)
{
	for (tries = 0; tries < 200; tries++) {
		for (i = 1; i <= factors; i++)
			row[i] = draw(count[i])
		if (a) {
			row[a] = x
			row[b] = y
		}
		if (is_allowed())
			return 1
	}
	return 0
}

function gain(    i, k, sum)
{
	for (i = 1; i < factors; i++)
		for (k = i + 1; k <= factors; k++)
			sum += !((i, row[i], k, row[k]) in met)
	return sum
}

# Of many rows with that pair, the one that has the most new pairs.
function choose(a, x, b, y,    tries, i, k, best, kept)
{
	for (tries = 0; tries < 40; tries++) {
		if (!draw_row(a, x, b, y))
			break
		if (gain() > best) {
			best = gain()
			for (i = 1; i <= factors; i++)
				kept[i] = row[i]
		}
	}
	met[a, x, b, y] = 1
	if (!best)
		return
	for (i = 1; i <= factors; i++)
		row[i] = kept[i]
	for (i = 1; i < factors; i++)
		for (k = i + 1; k <= factors; k++)
			met[i, row[i], k, row[k]] = 1
	show()
}

function show(    i, line)
{
	for (i = 1; i <= factors; i++)
		line = line (i > 1 ? " " : "") value[i, row[i]]
	print line
}

END {
	for (a = factors - 1; a; a--)
		for (b = factors; b > a; b--)
			for (x = 0; x < count[a]; x++)
				for (y = 0; y < count[b]; y++)
					if (!((a, x, b, y) in met))
						choose(a, x, b, y)
	for (; more > 0; more--)
		if (draw_row(0))
			show()
}
